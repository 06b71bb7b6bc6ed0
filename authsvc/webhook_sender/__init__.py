"""Sends events to webhooks: one worker of the installation at a time shares events out and delivers them."""
