package main

import (
	"errors"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/terminal"
)

// The values of flags.
var (
	roomTypes  = []string{"main", "breakout", "lobby", "all"}
	roomSorts  = []string{"participants", "name", "created"}
	roomOrders = []string{"asc", "desc"}
)

// newRooms returns "ppch rooms".
func newRooms(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var (
		typ, tenant, search, sort, order, shard string
		minimum, limit                          int
	)
	cmd := &cobra.Command{
		Use:   "rooms",
		Short: "List the open rooms",
		Long:  "List the open rooms, with GET /api/rooms of the running service." + apiClientHelp,
		Example: `  ppch rooms --limit 20
  ppch rooms --sort name -q class
  ppch rooms --tenant acme --min 2 --json | jq -r .room_name`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			err := errors.Join(oneOf("type", typ, roomTypes), oneOf("sort", sort, roomSorts), notNegative("min", minimum), notNegative("limit", limit))
			if order != "" {
				err = errors.Join(err, oneOf("order", order, roomOrders))
			}
			return err
		},
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, _ []string) error {
			list := terminal.List{Query: url.Values{"type": {typ}, "sort": {sort}}, Limit: limit}
			for name, value := range map[string]string{"order": order, "q": search, "shard": shard} {
				if value != "" {
					list.Query.Set(name, value)
				}
			}
			if cmd.Flags().Changed("tenant") {
				list.Query.Set("tenant", tenant)
			}
			if minimum > 0 {
				list.Query.Set("min_participants", strconv.Itoa(minimum))
			}
			if a.json {
				return c.RoomsJSON(cmd.Context(), cmd.OutOrStdout(), list)
			}
			return c.Rooms(cmd.Context(), cmd.OutOrStdout(), list, styleOf(cmd.OutOrStdout()))
		}),
	}
	a.add(cmd)
	cmd.Flags().StringVar(&typ, "type", "main", "main, breakout, lobby or all")
	cmd.Flags().StringVar(&tenant, "tenant", "", `only rooms of this tenant, "" for rooms without one`)
	cmd.Flags().StringVar(&shard, "shard", "", "only rooms on this one of several Prosodys")
	cmd.Flags().StringVarP(&search, "search", "q", "", "only rooms with this text in their name")
	cmd.Flags().IntVar(&minimum, "min", 0, "only rooms with at least this many people")
	cmd.Flags().StringVar(&sort, "sort", "participants", "participants, name or created")
	cmd.Flags().StringVar(&order, "order", "", "asc or desc (default the largest, the first name or the newest first)")
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most this many rooms (default all)")
	complete(cmd, "type", roomTypes...)
	complete(cmd, "sort", roomSorts...)
	complete(cmd, "order", roomOrders...)
	return cmd
}

// newRoom returns "ppch room".
func newRoom(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	shard := ""
	cmd := &cobra.Command{
		Use:   "room NAME",
		Short: "Show the people in a room",
		Long:  "Show the people in a room, with GET /api/rooms/{room_name} of the running service." + apiClientHelp,
		Example: `  ppch room Planning
  ppch room acme/Standup --json | jq .participant_count`,
		Args:              roomName,
		ValidArgsFunction: a.completeRoom,
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			c.Shard = shard
			if a.json {
				return c.RoomJSON(cmd.Context(), cmd.OutOrStdout(), args[0])
			}
			return c.Room(cmd.Context(), cmd.OutOrStdout(), args[0], styleOf(cmd.OutOrStdout()))
		}),
	}
	a.add(cmd)
	cmd.Flags().StringVar(&shard, "shard", "", "the room as this one of several Prosodys has it")
	return cmd
}
