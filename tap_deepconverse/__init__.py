"""Singer tap for the conversations that DeepConverse chatbots hold, through the Export API."""
