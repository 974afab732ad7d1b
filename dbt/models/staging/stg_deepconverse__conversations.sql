{%- set columns = deepconverse.source_columns(source('deepconverse', 'conversations')) -%}

with copies as (

    select
        {{ deepconverse.source_text(columns, '_id') }} as conversation_id,
        {{ deepconverse.source_text(columns, 'bot_name') }} as bot_name,
        {{ deepconverse.source_text(columns, 'locale') }} as locale,
        {{ deepconverse.source_timestamp(columns, 'startTime') }} as started_at,
        {{ deepconverse.source_timestamp(columns, 'lastActionAt') }} as last_action_at,
        {{ deepconverse.source_json(columns, 'tags') }} as tags,
        {{ deepconverse.source_json(columns, 'metadata') }} as metadata,
        {{ deepconverse.source_json(columns, 'additional_fields') }} as additional_fields,
        {{ deepconverse.copy_number(columns, 'lastActionAt') }} as copy_number
    from {{ source('deepconverse', 'conversations') }}

)

select
    conversation_id,
    bot_name,
    locale,
    started_at,
    last_action_at,
    {{ deepconverse.json_text('metadata', '__sys_channel') }} as channel,
    {{ deepconverse.json_text('metadata', '__sys_activeIntent') }} as active_intent,
    {{ deepconverse.json_text('metadata', '__sys_conversationId') }} as system_conversation_id,
    {{ deepconverse.json_text('metadata', '__sys_userAction.type') }} as last_user_action_type,
    {{ deepconverse.json_text('metadata', '__sys_userAction.text') }} as last_user_action_text,
    {{ deepconverse.json_text('metadata', '__sys_userIp') }} as user_ip,
    {{ deepconverse.json_text('metadata', '__sys_userCountry') }} as user_country,
    {{ deepconverse.json_text('metadata', '__sys_userAgent') }} as user_agent,
    {{ deepconverse.json_text('metadata', '__sys_userAgentParsed.device.family') }} as device_family,
    {{ deepconverse.json_text('metadata', '__sys_userAgentParsed.os.family') }} as os_family,
    {{ deepconverse.json_text('metadata', '__sys_userAgentParsed.os.major') }} as os_major,
    {{ deepconverse.json_text('metadata', '__sys_userAgentParsed.user_agent.family') }} as browser_family,
    {{ deepconverse.json_text('metadata', '__sys_userAgentParsed.user_agent.major') }} as browser_major,
    {{ deepconverse.json_text('metadata', 'browser_hostname') }} as page_hostname,
    {{ deepconverse.json_text('metadata', 'browser_path') }} as page_path,
    {{ deepconverse.json_text('metadata', 'browser_referrer') }} as page_referrer,
    {{ deepconverse.json_boolean('metadata', 'browser_isMobile') }} as is_mobile,
    {{ deepconverse.json_text('metadata', 'browser_userMeta.email') }} as user_email,
    {{ deepconverse.json_text('metadata', 'browser_userHash') }} as user_hash,
    {{ deepconverse.json_text('metadata', 'origin') }} as origin,
    {{ deepconverse.json_boolean('metadata', 'draft') }} as is_draft,
    {{ deepconverse.customer_id('metadata') }} as customer_id,
    {%- for name, path in var('deepconverse_metadata_columns').items() %}
    {{ deepconverse.json_text('metadata', path) }} as {{ name }},
    {%- endfor %}
    tags,
    metadata,
    additional_fields
from copies
where copy_number = 1
