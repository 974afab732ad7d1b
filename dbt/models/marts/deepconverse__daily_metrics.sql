{{ deepconverse.daily_metrics(['bot_name', 'locale', 'channel']) }}
