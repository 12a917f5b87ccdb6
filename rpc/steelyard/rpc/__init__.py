"""The gateway: clients' gRPC on one side, a replica's Unix socket on the other."""
