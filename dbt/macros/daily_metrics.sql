{#
    Metrics by day (UTC) and by the dimensions given, columns of deepconverse__conversations. The median comes from
    numbered rows, because not every warehouse has a function for it that groups: it is the mean of the one or two
    rows in the middle.
#}
{% macro daily_metrics(dimensions) %}
{%- set keys = (['day'] + dimensions) | join(', ') -%}
with conversations as (

    select
        cast(started_at as date) as day,
        {%- for dimension in dimensions %}
        {{ dimension }},
        {%- endfor %}
        is_resolved,
        is_informed,
        is_self_service,
        is_handed_over,
        first_response_seconds
    from {{ ref('deepconverse__conversations') }}
    where started_at is not null
    {%- if not var('deepconverse_include_drafts') %}
      and not coalesce(is_draft, false)
    {%- endif %}

),

numbered as (

    select
        *,
        count(first_response_seconds) over (partition by {{ keys }}) as responses,
        row_number() over (
            partition by {{ keys }}, case when first_response_seconds is null then 1 else 0 end
            order by first_response_seconds
        ) as response_number
    from conversations

),

counted as (

    select
        {{ keys }},
        count(*) as conversations,
        sum(case when is_resolved then 1 else 0 end) as resolved_conversations,
        sum(case when is_informed then 1 else 0 end) as informed_conversations,
        sum(case when is_self_service then 1 else 0 end) as self_service_conversations,
        sum(case when is_handed_over then 1 else 0 end) as handed_over_conversations,
        count(first_response_seconds) as answered_conversations,
        avg(
            case
                when 2 * response_number between responses and responses + 2 then first_response_seconds
            end
        ) as median_first_response_seconds
    from numbered
    group by {{ keys }}

)

select
    {{ keys }},
    conversations,
    resolved_conversations,
    informed_conversations,
    self_service_conversations,
    handed_over_conversations,
    answered_conversations,
    {%- for part in ['resolved', 'self_service', 'handed_over'] %}
    cast({{ part }}_conversations as {{ dbt.type_float() }}) / conversations as {{ part }}_rate,
    {%- endfor %}
    median_first_response_seconds
from counted
{%- endmacro %}
