"""Sends events to webhooks: one worker of the installation at a time distributes and delivers them."""
