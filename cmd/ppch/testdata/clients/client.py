# Who is in a room: as programs in Python ask, which never look at the status.
import os
import sys

import requests

API_URL = os.environ["API_URL"]
API_KEY = os.environ["API_KEY"]

room = sys.argv[1]
response = requests.get(f"{API_URL}/api/rooms/{room}/participants", headers={"X-API-Key": API_KEY})
data = response.json()
if data["has_participants"]:
    print(data["participant_count"], "in", room)
else:
    print("no one in", room)
