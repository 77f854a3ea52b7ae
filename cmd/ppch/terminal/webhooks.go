package terminal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ppch/api/view"
)

const webhooksPath = "/api/webhooks"

func webhookPath(id string) string { return webhooksPath + "/" + url.PathEscape(id) }

// AddWebhook creates a webhook, or replaces the one with that id, and writes its id and its secret, if that is new.
func (c *Client) AddWebhook(ctx context.Context, w io.Writer, id string, settings view.WebhookRequest) error {
	method, path := http.MethodPost, webhooksPath
	if id != "" {
		method, path = http.MethodPut, webhookPath(id)
	}
	var created view.Webhook
	if err := c.send(ctx, method, path, nil, settings, &created); err != nil {
		return err
	}
	text := "Webhook " + Clean(created.ID) + "\n"
	if created.Secret != "" {
		text += "Secret for the receiver, not shown again:\n" + Clean(created.Secret) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// webhooksOf returns the query for the webhooks of all keys, or of the client's own.
func webhooksOf(everyKey bool) url.Values {
	if everyKey {
		return url.Values{"all": {"true"}}
	}
	return nil
}

// Webhooks writes the webhooks of the key, or of all keys, which requires PPCH_API_KEY.
func (c *Client) Webhooks(ctx context.Context, w io.Writer, everyKey bool, style Style) error {
	var list view.Webhooks
	if err := c.get(ctx, webhooksPath, webhooksOf(everyKey), &list); err != nil {
		return err
	}
	if len(list.Webhooks) == 0 {
		_, err := io.WriteString(w, "no webhooks\n")
		return err
	}
	t := style.newTable(6, "id", "key", "state", "waiting", "events", "url", "why")
	for _, hook := range list.Webhooks {
		why := ""
		switch {
		case hook.StoppedReason != nil:
			why = *hook.StoppedReason
		case hook.FailingSince != nil:
			why = "since " + localTime(hook.FailingSince)
		}
		key := ""
		if everyKey {
			key = cmp.Or(orEmpty(hook.Key), "(removed)")
		}
		waiting := ""
		if hook.WaitingCount != nil {
			waiting = strconv.Itoa(*hook.WaitingCount)
		}
		t.add(Clean(hook.ID), Clean(key), Clean(hook.State), waiting, Clean(cmp.Or(strings.Join(hook.Events, " "), "all")), Clean(hook.URL), Clean(why))
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// WebhooksJSON writes each of the same webhooks as one line of JSON.
func (c *Client) WebhooksJSON(ctx context.Context, w io.Writer, everyKey bool) error {
	var list struct{ Webhooks []json.RawMessage }
	if err := c.get(ctx, webhooksPath, webhooksOf(everyKey), &list); err != nil {
		return err
	}
	return writeLines(w, list.Webhooks)
}

// TestWebhook sends a test event and writes what came of it. A failed test is an error.
func (c *Client) TestWebhook(ctx context.Context, w io.Writer, id string) error {
	var result view.WebhookTest
	if err := c.send(ctx, http.MethodPost, webhookPath(id)+"/test", nil, nil, &result); err != nil {
		return err
	}
	if !result.Delivered {
		text := "the test failed"
		if result.Problem != nil {
			text += ": " + Clean(*result.Problem)
		}
		if result.Answer != nil {
			text += "; the receiver answered " + Clean(*result.Answer)
		}
		return fmt.Errorf("%s", text)
	}
	_, err := fmt.Fprintf(w, "delivered in %d ms with status %d\n", result.DurationMS, value(result.Status))
	return err
}

// WebhookLog writes the newest deliveries of a webhook, the oldest of them first.
func (c *Client) WebhookLog(ctx context.Context, w io.Writer, id string, query url.Values, style Style) error {
	var page view.Deliveries
	if err := c.get(ctx, webhookPath(id)+"/deliveries", query, &page); err != nil {
		return err
	}
	if len(page.Deliveries) == 0 {
		_, err := io.WriteString(w, "no deliveries\n")
		return err
	}
	t := style.newTable(4, "id", "time", "event", "room", "state", "attempts", "why")
	for i := len(page.Deliveries) - 1; i >= 0; i-- {
		d := page.Deliveries[i]
		room, why := "", ""
		if d.RoomJID != nil {
			room = *d.RoomJID
		}
		if d.Problem != nil {
			why = *d.Problem
		}
		t.add(Clean(d.ID), localTime(&d.Time), Clean(d.Type), Clean(room), Clean(d.State), strconv.Itoa(d.Attempts), Clean(why))
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// WebhookLogJSON writes the newest deliveries of a webhook, each as one line of JSON.
func (c *Client) WebhookLogJSON(ctx context.Context, w io.Writer, id string, query url.Values) error {
	var page struct{ Deliveries []json.RawMessage }
	if err := c.get(ctx, webhookPath(id)+"/deliveries", query, &page); err != nil {
		return err
	}
	return writeLines(w, page.Deliveries)
}

// ReplayWebhook sends one delivery of a webhook again or, without a delivery, the events of a time range, and writes how many.
func (c *Client) ReplayWebhook(ctx context.Context, w io.Writer, id, delivery, from, to string) error {
	path, query := webhookPath(id)+"/replay", url.Values{"from": {from}, "to": {to}}
	if delivery != "" {
		path, query = webhookPath(id)+"/deliveries/"+url.PathEscape(delivery)+"/replay", nil
	}
	var result view.Replayed
	if err := c.send(ctx, http.MethodPost, path, query, nil, &result); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d %s again\n", result.Replayed, plural(result.Replayed, "delivery is sent", "deliveries are sent"))
	return err
}

// RemoveWebhook removes a webhook.
func (c *Client) RemoveWebhook(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, webhookPath(id), nil, nil, nil)
}

// writeLines writes each of some JSON values as one line.
func writeLines(w io.Writer, all []json.RawMessage) error {
	for _, raw := range all {
		if _, err := io.WriteString(w, LineOfJSON(raw)); err != nil {
			return err
		}
	}
	return nil
}

// localTime returns a time of the service in the local zone.
func localTime(text *string) string {
	t, err := view.ParseTime(text)
	if err != nil || t.IsZero() {
		return "?"
	}
	return t.Local().Format(time.DateTime)
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
