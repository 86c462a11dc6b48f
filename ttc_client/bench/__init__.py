"""Run many searches over a problem set, and keep what they find."""
