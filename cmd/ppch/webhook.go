package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ppch/api/view"
	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/terminal"
)

// newWebhook returns "ppch webhook".
func newWebhook(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Send events to other programs and chat channels",
		Long: `Manage the webhooks of an API key of the running service. The key needs the scope
webhooks, and the service PPCH_DATA_DIR.` + apiClientHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWebhookAdd(env), newWebhookList(env), newWebhookTest(env), newWebhookLog(env), newWebhookReplay(env), newWebhookRemove(env))
	return cmd
}

// webhookID checks the first argument.
func webhookID(_ *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] == "" {
		return errors.New("the webhook's id is empty")
	}
	return nil
}

func newWebhookAdd(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var (
		body    view.WebhookRequest
		id      string
		headers []string
	)
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Create a webhook, or replace the one with --id",
		Long: `Create a webhook, and print its id and its secret, with which the receiver
verifies deliveries. With --id, the webhook with that id is created or replaced.

Formats: ppch (Standard Webhooks), cloudevents, event_sync, jaas, and text for chat
channels, which needs --template.`,
		Example: `  ppch webhook add https://example.com/hook --events 'participant.*' --names
  ppch webhook add https://chat.example.com/hooks/… --id first-join --events room.occupied --room 'acme/*' \
    --names --format text --template '{"text":"{participant} is in {display_name}"}'`,
		Args: takes(1),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("id") && id == "" {
				return errors.New("--id: is empty: name the webhook, or leave --id out for a new one")
			}
			return nil
		},
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			body.URL, body.Headers = args[0], map[string]string{}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, ":")
				if !ok {
					return asUsageError(fmt.Errorf("--header: %q is not NAME: VALUE", h))
				}
				body.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
			return c.AddWebhook(cmd.Context(), cmd.OutOrStdout(), id, body)
		}),
	}
	a.addURL(cmd)
	cmd.Flags().StringVar(&id, "id", "", "id of the webhook, for scripts that run repeatedly (default a new one)")
	cmd.Flags().StringSliceVar(&body.Events, "events", nil, "types of events, or groups such as 'room.*', separated by commas (default all)")
	cmd.Flags().StringArrayVar(&body.Rooms, "room", nil, "only this room; may be repeated (default all)")
	cmd.Flags().BoolVar(&body.Names, "names", false, "send names, not only numbers")
	cmd.Flags().StringVar(&body.Format, "format", "ppch", "format of the bodies")
	cmd.Flags().StringVar(&body.Template, "template", "", "body of the format text, with {field} for values")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "header of each request, as 'NAME: VALUE'; may be repeated")
	cmd.Flags().StringVar(&body.Secret, "secret", "", "secret that begins with whsec_ (default a new one, or the present one)")
	return cmd
}

func newWebhookList(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	everyKey := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the webhooks and their states",
		Args:  cobra.NoArgs,
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, _ []string) error {
			if a.json {
				return c.WebhooksJSON(cmd.Context(), cmd.OutOrStdout(), everyKey)
			}
			return c.Webhooks(cmd.Context(), cmd.OutOrStdout(), everyKey, styleOf(cmd.OutOrStdout()))
		}),
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&everyKey, "all", false, "list those of all keys, which requires PPCH_API_KEY")
	return cmd
}

func newWebhookTest(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	cmd := &cobra.Command{
		Use:   "test ID",
		Short: "Send a test event",
		Long:  "Send a test event to a webhook at once. The exit status is 1 unless the receiver accepts it.",
		Args:  cobra.MatchAll(takes(1), webhookID),
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			return c.TestWebhook(cmd.Context(), cmd.OutOrStdout(), args[0])
		}),
	}
	a.addURL(cmd)
	return cmd
}

func newWebhookLog(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:   "log ID",
		Short: "Show the last deliveries",
		Long:  "Show the last deliveries of a webhook and what came of them. With --json, each has its body.",
		Example: `  ppch webhook log first-join --state failed
  ppch webhook log first-join --json | jq -r .body`,
		Args: cobra.MatchAll(takes(1), webhookID),
		PreRunE: func(*cobra.Command, []string) error {
			if state == "" {
				return nil
			}
			return oneOf("state", state, deliveryStates)
		},
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if state != "" {
				query.Set("state", state)
			}
			if a.json {
				return c.WebhookLogJSON(cmd.Context(), cmd.OutOrStdout(), args[0], query)
			}
			return c.WebhookLog(cmd.Context(), cmd.OutOrStdout(), args[0], query, styleOf(cmd.OutOrStdout()))
		}),
	}
	a.add(cmd)
	cmd.Flags().StringVar(&state, "state", "", "waiting, delivered or failed (default all)")
	cmd.Flags().IntVar(&limit, "limit", 20, "maximum number of deliveries, up to 100")
	complete(cmd, "state", deliveryStates...)
	return cmd
}

// deliveryStates are the states of deliveries.
var deliveryStates = []string{"waiting", "delivered", "failed"}

func newWebhookReplay(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var from, to string
	cmd := &cobra.Command{
		Use:   "replay ID [DELIVERY]",
		Short: "Send deliveries again",
		Long:  "Send one delivery of a webhook again, or all events of a time range. Receivers recognise them by the id of the event.",
		Example: `  ppch webhook replay first-join 1042
  ppch webhook replay first-join --from 2026-11-22T09:00:00Z --to 2026-11-22T10:00:00Z`,
		Args: cobra.MatchAll(takes(2), webhookID),
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			delivery := ""
			if len(args) > 1 {
				delivery = args[1]
			}
			switch {
			case delivery != "" && (from != "" || to != ""):
				return asUsageError(errors.New("replay: got a DELIVERY and a time range: name one of them"))
			case delivery == "" && (from == "" || to == ""):
				return asUsageError(errors.New("replay: name a DELIVERY, or a time range with --from and --to"))
			}
			return c.ReplayWebhook(cmd.Context(), cmd.OutOrStdout(), args[0], delivery, firstOf(from), endOf(to))
		}),
	}
	a.addURL(cmd)
	cmd.Flags().StringVar(&from, "from", "", "first day of the time range (2026-11-22, in the time zone TZ as the log), or its beginning (2026-11-22T09:00:00Z)")
	cmd.Flags().StringVar(&to, "to", "", "last day of the time range, or its end")
	return cmd
}

// endOf returns the moment at which a day ends, as firstOf does the first.
func endOf(day string) string {
	if t, err := time.ParseInLocation(time.DateOnly, day, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Format(time.RFC3339)
	}
	return day
}

func newWebhookRemove(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a webhook with its deliveries",
		Args:  cobra.MatchAll(takes(1), webhookID),
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			return c.RemoveWebhook(cmd.Context(), args[0])
		}),
	}
	a.addURL(cmd)
	return cmd
}
