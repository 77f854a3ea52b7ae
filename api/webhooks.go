package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/api/webhook"
)

// maxWebhookBody is the largest size of a request that creates a webhook.
const maxWebhookBody = 64 << 10

// getWebhooks handles "GET /api/webhooks".
func (s *Server) getWebhooks(w *response, r *http.Request) error {
	q, err := parseQuery(r, "all")
	if err != nil {
		return err
	}
	everyKey := q.choice("all", "false", "true") == "true"
	if err := q.err(); err != nil {
		return err
	}
	if everyKey && !s.cfg.Keys.IsOwn(w.grant.Key) {
		return &problem{kind: kindScopeMissing, detail: "Only PPCH_API_KEY may list the webhooks of all keys."}
	}
	var all []webhook.Status
	if everyKey {
		all, err = s.cfg.Webhooks.ListAll(r.Context())
	} else {
		all, err = s.cfg.Webhooks.List(r.Context(), owner(w))
	}
	if err != nil {
		return webhookProblem(err)
	}
	doc := view.Webhooks{Webhooks: []view.Webhook{}}
	for _, status := range all {
		doc.Webhooks = append(doc.Webhooks, s.webhookView(status))
	}
	return writeJSON(w, http.StatusOK, doc)
}

// postWebhook handles "POST /api/webhooks".
func (s *Server) postWebhook(w *response, r *http.Request) error { return s.putWebhookAs(w, r, "") }

// putWebhook handles "PUT /api/webhooks/{webhook_id}".
func (s *Server) putWebhook(w *response, r *http.Request) error {
	return s.putWebhookAs(w, r, w.webhookID())
}

func (s *Server) putWebhookAs(w *response, r *http.Request, id string) error {
	var body view.WebhookRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	settings := webhook.Settings{
		URL: body.URL, Events: body.Events, Rooms: body.Rooms, Names: body.Names, Format: webhook.Format(body.Format), Template: body.Template, Headers: body.Headers,
		Enabled: body.Enabled == nil || *body.Enabled,
	}
	status, created, err := s.cfg.Webhooks.Put(r.Context(), owner(w), id, settings, body.Secret)
	if err != nil {
		return webhookProblem(err)
	}
	doc := s.webhookView(status)
	if !created {
		return writeJSON(w, http.StatusOK, doc)
	}
	if body.Secret == "" {
		doc.Secret = status.Secret
	}
	w.Header().Set("Location", "/api/webhooks/"+status.ID)
	return writeJSON(w, http.StatusCreated, doc)
}

// getWebhook handles "GET /api/webhooks/{webhook_id}".
func (s *Server) getWebhook(w *response, r *http.Request) error {
	status, err := s.cfg.Webhooks.Get(r.Context(), owner(w), w.webhookID())
	if err != nil {
		return webhookProblem(err)
	}
	return writeJSON(w, http.StatusOK, s.webhookView(status))
}

// deleteWebhook handles "DELETE /api/webhooks/{webhook_id}".
func (s *Server) deleteWebhook(w *response, r *http.Request) error {
	if err := s.cfg.Webhooks.Delete(r.Context(), owner(w), w.webhookID()); err != nil {
		return webhookProblem(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// testWebhook handles "POST /api/webhooks/{webhook_id}/test".
func (s *Server) testWebhook(w *response, r *http.Request) error {
	result, err := s.cfg.Webhooks.Test(r.Context(), owner(w), w.webhookID())
	if err != nil {
		return webhookProblem(err)
	}
	return writeJSON(w, http.StatusOK, view.WebhookTest{
		Delivered: result.Delivered, Status: numberOrNull(result.Status), Problem: view.OrNull(result.Problem), Answer: view.OrNull(result.Answer), DurationMS: result.Took.Milliseconds(),
	})
}

// getDeliveries handles "GET /api/webhooks/{webhook_id}/deliveries".
func (s *Server) getDeliveries(w *response, r *http.Request) error {
	q, err := parseQuery(r, "state", "limit", "cursor")
	if err != nil {
		return err
	}
	query := webhook.LogQuery{State: q.choice("state", "", "waiting", "delivered", "failed"), Limit: q.number("limit", 20, 1, 100)}
	if text := q.text("cursor"); text != "" {
		if query.Before, err = strconv.ParseInt(text, 10, 64); err != nil || query.Before <= 0 {
			q.fail("cursor: %q is not a next_cursor of this list", shorten(text))
		}
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := s.cfg.Webhooks.Deliveries(r.Context(), owner(w), w.webhookID(), query)
	if err != nil {
		return webhookProblem(err)
	}
	doc := view.Deliveries{Deliveries: []view.Delivery{}}
	for _, d := range found {
		doc.Deliveries = append(doc.Deliveries, newDeliveryView(d))
	}
	if len(found) == query.Limit {
		doc.NextCursor = new(strconv.FormatInt(found[len(found)-1].Number, 10))
	}
	return writeJSON(w, http.StatusOK, doc)
}

// replayDelivery handles "POST /api/webhooks/{webhook_id}/deliveries/{delivery_id}/replay".
func (s *Server) replayDelivery(w *response, r *http.Request) error {
	number, err := strconv.ParseInt(w.vars["delivery_id"], 10, 64)
	if err != nil {
		return webhookProblem(webhook.ErrNotFound)
	}
	if err := s.cfg.Webhooks.Replay(r.Context(), owner(w), w.webhookID(), number); err != nil {
		return webhookProblem(err)
	}
	return writeJSON(w, http.StatusAccepted, view.Replayed{Replayed: 1})
}

// replayWebhook handles "POST /api/webhooks/{webhook_id}/replay".
func (s *Server) replayWebhook(w *response, r *http.Request) error {
	q, err := parseQuery(r, "from", "to")
	if err != nil {
		return err
	}
	from, to := q.moment("from", 0), q.moment("to", 24*time.Hour)
	if q.err() == nil && !from.Before(to) {
		q.fail("from: %s is not before to, %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	if err := q.err(); err != nil {
		return err
	}
	n, err := s.cfg.Webhooks.ReplayRange(r.Context(), owner(w), w.webhookID(), from, to)
	if err != nil {
		return webhookProblem(err)
	}
	return writeJSON(w, http.StatusAccepted, view.Replayed{Replayed: n})
}

// webhookID returns the id in the path. It unescapes it, because the router doesn't.
func (w *response) webhookID() string {
	id, err := url.PathUnescape(w.vars["webhook_id"])
	if err != nil {
		return w.vars["webhook_id"] // which is no id either
	}
	return id
}

// owner returns whose webhooks the request is about: those of its key.
func owner(w *response) keys.Sum { return w.grant.Key.Sum() }

// readBody decodes the body of r, which has to be JSON without unknown fields: a misspelled one would have no effect.
func readBody(w *response, r *http.Request, into any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != mediaJSON {
		return badParameter("body: send JSON with the header Content-Type: application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w.ResponseWriter, r.Body, maxWebhookBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && !errors.Is(d.Decode(&struct{}{}), io.EOF) {
		err = errors.New("unexpected data after the object")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{kind: kindBodyTooLarge, detail: fmt.Sprintf("The body has more than %d KiB.", maxWebhookBody>>10), cause: err}
	case err != nil:
		return badParameter("body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// webhookProblem returns the problem for an error of webhooks.
func webhookProblem(err error) error {
	var settings *webhook.SettingsError
	var registry *webhook.RegistryError
	var stopped *webhook.StoppedError
	switch {
	case errors.Is(err, webhook.ErrOff):
		return &problem{kind: kindWebhooksOff, detail: "This PPCH keeps no data, which webhooks need: set PPCH_DATA_DIR to a folder on a local disk.", cause: err}
	case errors.Is(err, webhook.ErrElsewhere):
		return &problem{
			kind: kindWebhooksOff, cause: err,
			detail: "This PPCH keeps no data, so it delivers nothing: ask a PPCH that is connected to Prosody and has PPCH_DATA_DIR. Webhooks can be listed and changed here.",
		}
	case errors.As(err, &registry):
		return settingsProblem("Webhooks are in NATS, which can't be used now", err)
	case errors.Is(err, webhook.ErrNotFound):
		return &problem{kind: kindNoWebhook, detail: "This API key has no such webhook or delivery.", cause: err}
	case errors.Is(err, webhook.ErrTooMany):
		return &problem{kind: kindTooManyWebhooks, detail: "Too many webhooks: remove some first. A key may have 1,000.", cause: err}
	case errors.Is(err, webhook.ErrErased):
		return &problem{kind: kindBodyErased, detail: "The body of this delivery was erased with the data of a person, so it can't be sent again.", cause: err}
	case errors.As(err, &stopped):
		remedy := "ask the operator of PPCH to change the API key"
		if stopped.Owner {
			remedy = "start it with PUT, and repeat the request"
		}
		return &problem{kind: kindWebhookStopped, detail: fmt.Sprintf("This webhook is stopped, so nothing can be sent again: %s: %s.", stopped.Reason, remedy), cause: err}
	case errors.As(err, &settings):
		return badParameter("%s", strings.ReplaceAll(settings.Error(), "\n", "; "))
	}
	return err
}

func (s *Server) webhookView(status webhook.Status) view.Webhook {
	doc := view.Webhook{
		ID: status.ID, URL: status.URL, Events: orEmpty(status.Events), Rooms: orEmpty(status.Rooms), Names: status.Names,
		Format: string(status.Format), Template: view.OrNull(status.Template),
		Headers: map[string]string{}, Enabled: status.Enabled, CreatedAt: view.FormatTime(status.CreatedAt), State: "ok", StoppedReason: view.OrNull(status.Stopped),
		FailingSince: view.Stamp(status.FailingSince), DisabledAt: view.Stamp(status.DisabledAt),
	}
	if !status.Elsewhere {
		doc.WaitingCount = &status.Waiting
	}
	if key := s.cfg.Keys.Find(status.Owner); key != nil {
		doc.Key = new(key.Name())
	}
	for name := range status.Headers {
		doc.Headers[name] = webhook.Hidden
	}
	if status.Previous != "" && time.Now().Before(status.PreviousUntil) {
		doc.PreviousSecretUntil = view.Stamp(status.PreviousUntil)
	}
	switch {
	case status.Stopped != "":
		doc.State = "stopped"
	case !status.FailingSince.IsZero():
		doc.State = "failing"
	case status.Elsewhere:
		doc.State = "unknown"
	}
	return doc
}

func newDeliveryView(d webhook.Delivery) view.Delivery {
	doc := view.Delivery{
		ID: strconv.FormatInt(d.Number, 10), EventID: d.Event, Type: string(d.Type), RoomJID: view.OrNull(d.Room), Time: view.FormatTime(d.At), StoredAt: view.FormatTime(d.Stored),
		State: d.State, Attempts: d.Attempts, NextAttemptAt: view.Stamp(d.Due), LastAttemptAt: view.Stamp(d.Tried), Status: numberOrNull(d.Status),
		Problem: view.OrNull(d.Problem), Answer: view.OrNull(d.Answer), ContentType: d.ContentType, Body: d.Body,
	}
	if !d.Tried.IsZero() {
		doc.DurationMS = new(d.Took.Milliseconds())
	}
	return doc
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return slices.Clone(list)
}

func numberOrNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// moment returns a time as [query.time] does, and requires it.
func (q *query) moment(name string, ofDay time.Duration) time.Time {
	if q.text(name) == "" {
		q.fail("%s: missing: send a day such as 2027-12-31 or a time such as 2027-12-31T18:00:00Z", name)
	}
	return q.time(name, ofDay)
}
