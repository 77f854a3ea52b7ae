package api_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The discriminator leads generators from the name of each event to its schema, which allows exactly these names.
func TestDocument_EventsAreDiscriminated(t *testing.T) {
	union := contract(t).Components.Schemas["Event"].Value
	got := map[string]string{}
	for _, option := range union.OneOf {
		name := option.Value.Properties["event"].Value
		for _, value := range append(name.Enum, name.Const) {
			if value != nil {
				got[value.(string)] = option.Ref
			}
		}
	}
	want := map[string]string{}
	for name, schema := range union.Discriminator.Mapping {
		want[name] = schema.Ref
	}
	if diff := cmp.Diff(want, got); diff != "" || union.Discriminator.PropertyName != "event" {
		t.Errorf("- discriminator, + schemas:\n%s", diff)
	}
	events := contract(t).Components.Schemas["RecentEvents"].Value.Properties["events"].Value
	if got := events.Items.Ref; got != "#/components/schemas/Event" {
		t.Errorf("recent events: got %s want the union, from where generators reach all events", got)
	}
}

// Which parts of a room an answer has, as the schema's description says.
func TestDocument_PartsOfRooms(t *testing.T) {
	facts := []string{"members_only", "meeting_id", "parent_room_jid", "password_protected", "subject", "tenant", "type"}
	people := []string{"occupants", "participants"}
	first := func(answer map[string]any) map[string]any { return answer["rooms"].([]any)[0].(map[string]any) }
	itself := func(answer map[string]any) map[string]any { return answer }
	for target, c := range map[string]struct {
		room  func(map[string]any) map[string]any
		parts [][]string
	}{
		"/api/rooms/standup/participants":          {itself, [][]string{people, {"visitors_source"}}},
		"/api/rooms/nowhere/participants":          {itself, [][]string{people}},
		"/api/rooms/standup":                       {itself, [][]string{people, facts, {"duration_seconds"}, {"visitors_source"}}},
		"/api/rooms/nowhere":                       {itself, [][]string{people, facts, {"duration_seconds"}}},
		"/api/rooms":                               {first, [][]string{facts, {"visitors_source"}}},
		"/api/rooms?expand=occupants":              {first, [][]string{people, facts, {"visitors_source"}}},
		"/api/rooms?name=standup":                  {first, [][]string{facts, {"asked_as"}, {"visitors_source"}}},
		"/api/rooms?name=standup&expand=occupants": {first, [][]string{people, facts, {"asked_as"}, {"visitors_source"}}},
		"/api/rooms?name=nowhere&expand=occupants": {first, [][]string{people, facts, {"asked_as"}}},
	} {
		t.Run(target, func(t *testing.T) {
			schema := contract(t).Components.Schemas["Room"].Value
			want := slices.Sorted(slices.Values(slices.Concat(append(c.parts, schema.Required)...)))
			got := slices.Sorted(maps.Keys(c.room(start(t, withPast(several())).get(target).object(t))))
			same(t, "parts", want, got)
		})
	}
}
