{#
    The columns of a table, by their names in lower case, with and without underscores. Loaders write the same field
    as "startTime", starttime, STARTTIME or start_time: what is there is looked up, so that no model has to know.
#}
{% macro source_columns(relation) %}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- set columns = adapter.get_columns_in_relation(relation) -%}
        {%- for column in columns -%}
            {%- do found.update({column.name | lower: column}) -%}
        {%- endfor -%}
        {%- for column in columns -%}
            {%- do found.setdefault(column.name | lower | replace('_', ''), column) -%}
        {%- endfor -%}
        {%- if '_id' not in found and 'id' not in found -%}
            {%- do exceptions.raise_compiler_error(
                "There is no table " ~ relation ~ " with a column _id. Load it with tap-deepconverse first, or set "
                ~ "the variables deepconverse_database, deepconverse_schema and deepconverse_..._table."
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}


{# The column that a field is in; none if the table has none, for example because the field was not selected. #}
{% macro find_column(columns, field) %}
    {{ return(columns.get(field | lower, columns.get(field | lower | replace('_', '')))) }}
{% endmacro %}


{% macro source_text(columns, field) %}
    {%- set column = deepconverse.find_column(columns, field) -%}
    cast({{ adapter.quote(column.name) if column else 'null' }} as {{ dbt.type_string() }})
{%- endmacro %}


{% macro source_timestamp(columns, field) %}
    {%- set column = deepconverse.find_column(columns, field) -%}
    {%- if column -%}
        {{ deepconverse.as_utc(adapter.quote(column.name), column.data_type | lower) }}
    {%- else -%}
        cast(null as {{ dbt.type_timestamp() }})
    {%- endif -%}
{%- endmacro %}


{% macro source_json(columns, field) %}
    {%- set column = deepconverse.find_column(columns, field) -%}
    {%- if column -%}
        {{ deepconverse.as_json(adapter.quote(column.name), column.data_type | lower) }}
    {%- else -%}
        {{ deepconverse.null_json() }}
    {%- endif -%}
{%- endmacro %}


{#
    Numbers the copies of a row, the one that counts first. Targets that only append hold a copy for each time that a
    record was read: the newest replication key counts, and then what the loader took last.
#}
{% macro copy_number(columns, replication_key) %}
    {%- set id = adapter.quote(deepconverse.find_column(columns, '_id').name) if columns else 'null' -%}
    row_number() over (
        partition by {{ id }}
        order by
            {{ deepconverse.source_timestamp(columns, replication_key) }} desc nulls last
            {%- for field in ['_sdc_batched_at', '_sdc_extracted_at', '_sdc_sequence'] %}
                {%- set column = deepconverse.find_column(columns, field) %}
                {%- if column %},
            {{ adapter.quote(column.name) }} desc nulls last
                {%- endif %}
            {%- endfor %}
    )
{%- endmacro %}
