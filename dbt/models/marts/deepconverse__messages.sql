{%- set agent_types = var('deepconverse_agent_message_types') -%}

with messages as (

    select
        message_id,
        conversation_id,
        bot_name,
        sent_at,
        message_type,
        case
            when message_type is null then null
            when {{ deepconverse.is_one_of('message_type', var('deepconverse_ignored_message_types')) }} then null
            else {{ deepconverse.is_one_of('message_type', var('deepconverse_customer_message_types')) }}
        end as is_from_customer,
        out_message,
        user_action_type,
        user_input
    from {{ ref('stg_deepconverse__messages') }}

)

select
    messages.message_id,
    messages.conversation_id,
    conversations.conversation_id is not null as has_conversation,
    coalesce(conversations.bot_name, messages.bot_name) as bot_name,
    conversations.locale,
    case
        when messages.conversation_id is not null then row_number() over (
            partition by messages.conversation_id
            order by
                messages.sent_at nulls last,
                case when messages.is_from_customer then 0 else 1 end,
                messages.message_id
        )
    end as message_number,
    messages.sent_at,
    messages.message_type,
    messages.is_from_customer,
    {% if agent_types -%}
    case
        when messages.is_from_customer is not null
            then {{ deepconverse.is_one_of('messages.message_type', agent_types) }}
    end as is_from_agent,
    {%- else -%}
    cast(null as {{ dbt.type_boolean() }}) as is_from_agent,
    {%- endif %}
    messages.out_message,
    messages.user_action_type,
    messages.user_input
from messages
left join {{ ref('stg_deepconverse__conversations') }} as conversations
    on conversations.conversation_id = messages.conversation_id
