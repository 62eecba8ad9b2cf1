"""The mouth network: from speech to mouth shapes."""
