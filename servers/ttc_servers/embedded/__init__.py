"""Small model servers for the loopback interface: vLLM's protocol, a tiny Llama, no PyTorch."""

from ttc_servers.embedded.launch import embedded_servers

__all__ = ["embedded_servers"]
