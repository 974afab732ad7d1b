{# Who the customer is: the first of the parameters named by the variable that a conversation has. #}
{% macro customer_id(metadata) %}
    {%- set found = [] -%}
    {%- for path in var('deepconverse_customer_parameters') -%}
        {%- do found.append("nullif(" ~ deepconverse.json_text(metadata, path) ~ ", '')") -%}
    {%- endfor -%}
    {{- 'coalesce(' ~ found | join(', ') ~ ', null)' if found else 'cast(null as ' ~ dbt.type_string() ~ ')' -}}
{% endmacro %}
