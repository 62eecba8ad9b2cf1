"""The toolkit that all nodes share: lifecycle driver, parameters, QoS, messages and images."""
