"""Print a `.env` for docker-compose.yml with random passwords.

python3 deploy/make_env.py > .env
"""

from __future__ import annotations

import secrets


def main() -> None:
    """Passwords in hex, which need no quoting in a URL."""
    print("# Passwords of docker-compose.yml. Keep this file out of version control.")
    print(f"REDIS_PASSWORD={secrets.token_hex(16)}")
    print(f"SPACER_AWS_ACCESS_KEY_ID={secrets.token_hex(10)}")
    print(f"SPACER_AWS_SECRET_ACCESS_KEY={secrets.token_hex(20)}")
    print(f"FLOWER_BASIC_AUTH=spacer:{secrets.token_hex(16)}")
    print("# Callers outside of these containers need the key too; then require it.")
    print(f"SPACER_SIGNING_KEYS={secrets.token_hex(32)}")
    print("#SPACER_REQUIRE_SIGNED=true")


if __name__ == "__main__":
    main()
