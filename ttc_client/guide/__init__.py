"""The pages of the guide, as Markdown."""
