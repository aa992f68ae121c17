"""What hostile hosts, neighbours and devices may try: each test is one attack on a whole stack that serves others."""
