{# A time in UTC, without a zone (on BigQuery, whose TIMESTAMP is in UTC, as that). #}
{% macro as_utc(expression, data_type) %}
    {{- return(adapter.dispatch('as_utc', 'deepconverse')(expression, data_type)) -}}
{% endmacro %}

{% macro default__as_utc(expression, data_type) -%}
    {%- if 'with time zone' in data_type or data_type == 'timestamptz' -%}
        ({{ expression }} at time zone 'UTC')
    {%- elif 'timestamp' in data_type -%}
        {{ expression }}
    {%- else -%}
        (cast({{ expression }} as timestamp with time zone) at time zone 'UTC')
    {%- endif -%}
{%- endmacro %}

{% macro snowflake__as_utc(expression, data_type) -%}
    {%- if 'ntz' in data_type -%}
        {{ expression }}
    {%- else -%}
        cast(convert_timezone('UTC', cast({{ expression }} as timestamp_tz)) as timestamp_ntz)
    {%- endif -%}
{%- endmacro %}

{% macro bigquery__as_utc(expression, data_type) -%}
    cast({{ expression }} as timestamp)
{%- endmacro %}


{# Seconds from one time to another, with their fraction. #}
{% macro seconds_between(start, end) %}
    {{- return(adapter.dispatch('seconds_between', 'deepconverse')(start, end)) -}}
{% endmacro %}

{% macro default__seconds_between(start, end) -%}
    cast({{ dbt.datediff(start, end, 'second') }} as {{ dbt.type_float() }})
{%- endmacro %}

{% macro postgres__seconds_between(start, end) -%}
    cast(extract(epoch from {{ end }} - {{ start }}) as {{ dbt.type_float() }})
{%- endmacro %}

{% macro duckdb__seconds_between(start, end) -%}
    ((epoch_us({{ end }}) - epoch_us({{ start }})) / 1000000.0::double)
{%- endmacro %}

{% macro snowflake__seconds_between(start, end) -%}
    (datediff('microsecond', {{ start }}, {{ end }}) / 1000000.0)::float
{%- endmacro %}

{% macro bigquery__seconds_between(start, end) -%}
    (timestamp_diff({{ end }}, {{ start }}, microsecond) / 1000000.0)
{%- endmacro %}
