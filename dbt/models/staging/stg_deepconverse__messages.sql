{%- set columns = deepconverse.source_columns(source('deepconverse', 'messages')) -%}

with copies as (

    select
        {{ deepconverse.source_text(columns, '_id') }} as message_id,
        {{ deepconverse.source_text(columns, 'conversationId') }} as conversation_id,
        {{ deepconverse.source_text(columns, 'bot_name') }} as bot_name,
        {{ deepconverse.source_timestamp(columns, 'time') }} as sent_at,
        {{ deepconverse.source_text(columns, 'type') }} as message_type,
        {{ deepconverse.source_text(columns, 'outMsg') }} as out_message,
        {{ deepconverse.source_text(columns, 'userActionType') }} as user_action_type,
        {{ deepconverse.source_text(columns, 'userInput') }} as user_input,
        {{ deepconverse.source_json(columns, 'additional_fields') }} as additional_fields,
        {{ deepconverse.copy_number(columns, 'time') }} as copy_number
    from {{ source('deepconverse', 'messages') }}

)

select
    message_id,
    conversation_id,
    bot_name,
    sent_at,
    message_type,
    out_message,
    user_action_type,
    user_input,
    additional_fields
from copies
where copy_number = 1
