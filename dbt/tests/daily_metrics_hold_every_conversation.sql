-- Fails if the metrics of some day add up to another number of conversations than began on it.
with days as (

    select day, sum(conversations) as conversations
    from {{ ref('deepconverse__daily_metrics') }}
    group by day

)

select totals.day, totals.conversations, days.conversations as added_up
from {{ ref('deepconverse__daily_totals') }} as totals
left join days on days.day = totals.day
where days.conversations is null
   or days.conversations <> totals.conversations
