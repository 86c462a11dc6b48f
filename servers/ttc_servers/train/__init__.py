"""Training of the demo models: tokenizer, policy and PRM; needs the optional extra `train`."""
