# Writes the attendance of a meeting as CSV for Moodle's plugin Attendance ("Import attendance").
#
#   curl -s -H "X-API-Key: $KEY" "$PPCH/api/meetings/$ID/attendance" | jq -rf moodle.jq --argjson minutes 30
#
# People without a user id, such as guests, are left out. $minutes is how long a person must certainly have been there for P.

["user", "scantime", "status"],
(.attendees[] | select(.user_id != null)
  | [.user_id, .first_joined_at, if .total_seconds.min >= $minutes * 60 then "P" else "L" end])
| @csv
