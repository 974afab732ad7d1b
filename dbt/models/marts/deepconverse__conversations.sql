with conversations as (

    select
        *,
        {{ deepconverse.has_any_tag('tags', var('deepconverse_resolved_tags')) }} as is_resolved,
        {{ deepconverse.has_any_tag('tags', var('deepconverse_informed_tags')) }} as is_informed,
        {{ deepconverse.has_any_tag('tags', var('deepconverse_handed_over_tags')) }} as is_handed_over
    from {{ ref('stg_deepconverse__conversations') }}

),

messages as (

    select * from {{ ref('deepconverse__messages') }}

),

counted as (

    select
        conversation_id,
        count(*) as messages,
        sum(case when is_from_customer then 1 else 0 end) as customer_messages,
        sum(case when not is_from_customer then 1 else 0 end) as other_side_messages,
        sum(case when is_from_agent then 1 else 0 end) as agent_messages,
        min(sent_at) as first_message_at,
        max(sent_at) as last_message_at,
        min(case when is_from_customer then sent_at end) as first_customer_message_at
    from messages
    where conversation_id is not null
    group by conversation_id

),

answered as (

    select
        messages.conversation_id,
        min(messages.sent_at) as first_response_at
    from messages
    inner join counted on counted.conversation_id = messages.conversation_id
    where not messages.is_from_customer
      and messages.sent_at >= counted.first_customer_message_at
    group by messages.conversation_id

)

select
    conversations.conversation_id,
    conversations.bot_name,
    conversations.locale,
    conversations.channel,
    conversations.customer_id,
    conversations.started_at,
    conversations.last_action_at,
    {{ deepconverse.seconds_between('conversations.started_at', 'conversations.last_action_at') }} as duration_seconds,
    conversations.is_resolved,
    conversations.is_informed,
    conversations.is_handed_over,
    (conversations.is_resolved or conversations.is_informed) and not conversations.is_handed_over as is_self_service,
    coalesce(counted.messages, 0) as messages,
    coalesce(counted.customer_messages, 0) as customer_messages,
    coalesce(counted.other_side_messages, 0) as other_side_messages,
    {% if var('deepconverse_agent_message_types') -%}
    coalesce(counted.agent_messages, 0) as agent_messages,
    {%- else -%}
    cast(null as {{ dbt.type_int() }}) as agent_messages,
    {%- endif %}
    counted.first_message_at,
    counted.last_message_at,
    counted.first_customer_message_at,
    answered.first_response_at,
    {{ deepconverse.seconds_between('counted.first_customer_message_at', 'answered.first_response_at') }}
        as first_response_seconds,
    conversations.active_intent,
    conversations.user_country,
    conversations.device_family,
    conversations.os_family,
    conversations.browser_family,
    conversations.is_mobile,
    conversations.page_hostname,
    conversations.page_path,
    conversations.origin,
    {%- for name in var('deepconverse_metadata_columns') %}
    conversations.{{ name }},
    {%- endfor %}
    conversations.is_draft,
    conversations.tags
from conversations
left join counted on counted.conversation_id = conversations.conversation_id
left join answered on answered.conversation_id = conversations.conversation_id
