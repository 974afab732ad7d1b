{% macro text_literal(value) %}
    {{- return(dbt.string_literal(dbt.escape_single_quotes(value))) -}}
{% endmacro %}


{% macro text_literals(values) %}
    {%- set literals = [] -%}
    {%- for value in values -%}
        {%- do literals.append(deepconverse.text_literal(value)) -%}
    {%- endfor -%}
    {{ return(literals | join(', ')) }}
{% endmacro %}


{# Whether a value is one of a variable's list, which may be empty. #}
{% macro is_one_of(expression, values) %}
    {{- return(expression ~ ' in (' ~ deepconverse.text_literals(values) ~ ')' if values else 'false') -}}
{% endmacro %}
