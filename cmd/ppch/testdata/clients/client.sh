# How many are in a room: as scripts ask, which never look at the status either.
curl -s -H "X-API-Key: $API_KEY" "$API_URL/api/rooms/$1/participants" | jq -r '.participant_count'
