package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/terminal"
	"ppch/component/history"
)

// newMeetings returns "ppch meetings".
func newMeetings(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var (
		typ, room, tenant, from, to string
		minimum, limit              int
	)
	cmd := &cobra.Command{
		Use:   "meetings",
		Short: "List past and present meetings",
		Long: `List the recorded meetings, latest first, with GET /api/meetings of the running
service. It records meetings if PPCH_DATA_DIR and PPCH_HISTORY are set.` + apiClientHelp,
		Example: `  ppch meetings --from 2027-03-01 --to 2027-03-08
  ppch meetings --room acme/Standup --limit 10
  ppch meetings --min 2 --json | jq -r .id`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			return errors.Join(oneOf("type", typ, roomTypes), notNegative("min", minimum), notNegative("limit", limit))
		},
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, _ []string) error {
			list := terminal.MeetingList{Query: url.Values{"type": {typ}}, Limit: limit}
			for name, value := range map[string]string{"room": room, "tenant": tenant, "from": firstOf(from), "to": lastOf(to)} {
				if value != "" {
					list.Query.Set(name, value)
				}
			}
			if minimum > 0 {
				list.Query.Set("min_participants", strconv.Itoa(minimum))
			}
			if a.json {
				return c.MeetingsJSON(cmd.Context(), cmd.OutOrStdout(), list)
			}
			return c.Meetings(cmd.Context(), cmd.OutOrStdout(), list, styleOf(cmd.OutOrStdout()))
		}),
	}
	a.add(cmd)
	cmd.Flags().StringVar(&typ, "type", "main", "main, breakout, lobby or all")
	cmd.Flags().StringVar(&room, "room", "", "only meetings in this room")
	cmd.Flags().StringVar(&tenant, "tenant", "", "only meetings of this tenant")
	cmd.Flags().StringVar(&from, "from", "", "only meetings that took place on this day or later (2027-12-31, in the time zone TZ as the list), or since a time (2027-12-31T18:00:00Z)")
	cmd.Flags().StringVar(&to, "to", "", "only meetings that took place on this day or earlier, or until a time")
	cmd.Flags().IntVar(&minimum, "min", 0, "only meetings with at least this many people at a time")
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most this many meetings (default all)")
	complete(cmd, "type", roomTypes...)
	return cmd
}

// meetingID checks the first argument.
func meetingID(_ *cobra.Command, args []string) error {
	if _, err := history.ParseID(args[0]); err != nil {
		return fmt.Errorf(`%q is not the id of a meeting: "ppch meetings" lists the ids`, args[0])
	}
	return nil
}

// sheetFlags returns an error if a flag would be ignored.
func sheetFlags(cmd *cobra.Command) error {
	if cmd.Flags().Changed("csv") {
		if cmd.Flags().Changed("json") {
			return errors.New("--json: not with --csv")
		}
		return nil
	}
	for _, name := range []string{"format", "tz", "bom"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s: needs --csv", name)
		}
	}
	return nil
}

// firstOf returns the first moment of a day in the time zone in which times are shown. Other text stays as it is.
func firstOf(day string) string {
	if t, err := time.ParseInLocation(time.DateOnly, day, time.Local); err == nil {
		return t.Format(time.RFC3339)
	}
	return day
}

// lastOf returns the last moment of a day, as firstOf does the first.
func lastOf(day string) string {
	if t, err := time.ParseInLocation(time.DateOnly, day, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Millisecond).Format(time.RFC3339Nano)
	}
	return day
}

// sheetFormats are the formats of files for spreadsheets.
var sheetFormats = []string{"plain", "zoom", "teams"}

// newAttendance returns "ppch attendance".
func newAttendance(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var (
		format, zone string
		file, bom    bool
	)
	cmd := &cobra.Command{
		Use:   "attendance ID",
		Short: "Show who was in a meeting, and for how long",
		Long: `Show who was in a meeting and its breakout rooms, with
GET /api/meetings/{meeting_id}/attendance of the running service. "ppch meetings"
lists the ids. The service logs each request.` + apiClientHelp,
		Example: `  ppch attendance 5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7
  ppch attendance 5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7 --csv > attendance.csv
  ppch attendance 5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7 --csv --format zoom --tz Europe/Berlin`,
		Args: cobra.MatchAll(takes(1), meetingID),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(oneOf("format", format, sheetFormats), sheetFlags(cmd))
		},
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			switch out := cmd.OutOrStdout(); {
			case file:
				query := url.Values{"format": {format}, "bom": {strconv.FormatBool(bom)}}
				if zone != "" {
					query.Set("tz", zone)
				}
				return c.AttendanceFile(cmd.Context(), out, args[0], query)
			case a.json:
				return c.AttendanceJSON(cmd.Context(), out, args[0])
			default:
				return c.Attendance(cmd.Context(), out, args[0], styleOf(out))
			}
		}),
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&file, "csv", false, "print a file for spreadsheets")
	cmd.Flags().StringVar(&format, "format", "plain", "with --csv: plain, or the columns of a report by zoom or teams")
	cmd.Flags().StringVar(&zone, "tz", "", "with --csv: time zone of the times (default UTC)")
	cmd.Flags().BoolVar(&bom, "bom", false, "with --csv: begin with a byte order mark, for Excel")
	complete(cmd, "format", sheetFormats...)
	return cmd
}
