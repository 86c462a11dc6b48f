"""The old place of `taking_turns`, for `runtime.client`."""

from ttc_client.middleware.context import taking_turns as taking_turns
