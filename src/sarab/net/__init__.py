"""The stack: interfaces, neighbours, routes, ports and demultiplexing over the machines of `proto`. Sans-IO."""
