-- Fails for each day on which the metrics or the totals hold another number of conversations than began on it.
with counted as (

    select cast(started_at as date) as day, 1 as began, 0 as in_metrics, 0 as in_totals
    from {{ ref('deepconverse__conversations') }}
    where started_at is not null
    {%- if not var('deepconverse_include_drafts') %}
      and not coalesce(is_draft, false)
    {%- endif %}

    union all

    select day, 0, conversations, 0
    from {{ ref('deepconverse__daily_metrics') }}

    union all

    select day, 0, 0, conversations
    from {{ ref('deepconverse__daily_totals') }}

)

select day, sum(began) as began, sum(in_metrics) as in_metrics, sum(in_totals) as in_totals
from counted
group by day
having sum(began) <> sum(in_metrics) or sum(began) <> sum(in_totals)
