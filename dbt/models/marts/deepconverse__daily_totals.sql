{{ deepconverse.daily_metrics([]) }}
