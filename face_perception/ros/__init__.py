"""The toolkit of the nodes: lifecycle driver, parameters, QoS, messages and images."""
