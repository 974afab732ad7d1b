{# A column with an object or a list, in whatever type the loader gave it, as the warehouse's own JSON. #}
{% macro as_json(expression, data_type) %}
    {{- return(adapter.dispatch('as_json', 'deepconverse')(expression, data_type)) -}}
{% endmacro %}

{% macro postgres__as_json(expression, data_type) -%}
    {%- if data_type == 'jsonb' or data_type == 'json' -%}
        nullif(cast({{ expression }} as jsonb), 'null')
    {%- elif data_type == 'array' or data_type.endswith('[]') -%}
        to_jsonb({{ expression }})
    {%- else -%}
        nullif(cast(nullif({{ expression }}, '') as jsonb), 'null')
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__as_json(expression, data_type) -%}
    {%- if data_type.endswith('[]') or data_type.startswith('struct') or data_type.startswith('map') -%}
        to_json({{ expression }})
    {%- else -%}
        case when json_type(try_cast({{ expression }} as json)) <> 'NULL' then try_cast({{ expression }} as json) end
    {%- endif -%}
{%- endmacro %}

{% macro snowflake__as_json(expression, data_type) -%}
    {%- if data_type.startswith('variant') or data_type.startswith('object') or data_type.startswith('array') -%}
        to_variant({{ expression }})
    {%- else -%}
        try_parse_json({{ expression }})
    {%- endif -%}
{%- endmacro %}

{% macro bigquery__as_json(expression, data_type) -%}
    {%- if data_type == 'json' -%}
        {{ expression }}
    {%- elif data_type == 'string' -%}
        safe.parse_json({{ expression }}, wide_number_mode => 'round')
    {%- else -%}
        to_json({{ expression }})
    {%- endif -%}
{%- endmacro %}


{% macro null_json() %}
    {{- return(adapter.dispatch('null_json', 'deepconverse')()) -}}
{% endmacro %}

{% macro default__null_json() %}cast(null as json){% endmacro %}
{% macro postgres__null_json() %}cast(null as jsonb){% endmacro %}
{% macro snowflake__null_json() %}cast(null as variant){% endmacro %}


{# A value within JSON as text, by the names on the way to it: with dots between them, or a list if a name has dots. #}
{% macro json_text(json, path) %}
    {{- return(adapter.dispatch('json_text', 'deepconverse')(json, path.split('.') if path is string else path)) -}}
{% endmacro %}

{% macro postgres__json_text(json, names) -%}
    ({{ json }} #>> array[{% for name in names %}{{ deepconverse.text_literal(name) }}{{ ', ' if not loop.last }}{% endfor %}])
{%- endmacro %}

{% macro duckdb__json_text(json, names) -%}
    json_extract_string({{ json }}, {{ deepconverse.text_literal('$."' ~ names | join('"."') ~ '"') }})
{%- endmacro %}

{% macro snowflake__json_text(json, names) -%}
    cast(get_path({{ json }}, {{ deepconverse.text_literal('"' ~ names | join('"."') ~ '"') }}) as varchar)
{%- endmacro %}

{% macro bigquery__json_text(json, names) -%}
    json_value({{ json }}, {{ deepconverse.text_literal('$."' ~ names | join('"."') ~ '"') }})
{%- endmacro %}


{# A parameter that is true or false, or such a word; null if it is anything else. #}
{% macro json_boolean(json, path) -%}
    case lower({{ deepconverse.json_text(json, path) }}) when 'true' then true when 'false' then false end
{%- endmacro %}


{# Whether a list of tags (JSON) has one of those that are named. Without a list it has none. #}
{% macro has_any_tag(tags, names) %}
    {%- if names -%}
        {{- return(adapter.dispatch('has_any_tag', 'deepconverse')(tags, deepconverse.text_literals(names))) -}}
    {%- else -%}
        {{- return('false') -}}
    {%- endif -%}
{% endmacro %}

{% macro postgres__has_any_tag(tags, literals) -%}
    coalesce({{ tags }} ?| array[{{ literals }}], false)
{%- endmacro %}

{% macro duckdb__has_any_tag(tags, literals) -%}
    coalesce(list_has_any(try_cast({{ tags }} as varchar[]), [{{ literals }}]), false)
{%- endmacro %}

{% macro snowflake__has_any_tag(tags, literals) -%}
    coalesce(arrays_overlap(as_array({{ tags }}), array_construct({{ literals }})), false)
{%- endmacro %}

{% macro bigquery__has_any_tag(tags, literals) -%}
    exists (select 1 from unnest(json_value_array({{ tags }})) as tag where tag in ({{ literals }}))
{%- endmacro %}
