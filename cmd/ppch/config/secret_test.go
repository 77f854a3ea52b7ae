package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"ppch/cmd/ppch/config"
)

func TestSecret_Hidden(t *testing.T) {
	t.Parallel()
	const text = "Correct-Horse"
	s := config.NewSecret(text)
	if got := s.Reveal(); got != text {
		t.Fatalf("Reveal got %q want %q", got, text)
	}
	// What could be printed by mistake: a secret, a value that contains one, and a pointer to either.
	for name, v := range map[string]any{
		"a secret":                  s,
		"a pointer to one":          &s,
		"a list of them":            []config.Secret{s},
		"a map of them":             map[string]config.Secret{"key": s},
		"the settings":              config.Settings{APIKey: s, ComponentSecret: s},
		"a pointer to the settings": &config.Settings{APIKey: s, ComponentSecret: s},
		"the config":                config.Config{APIKey: s, Secret: s},
		"a pointer to the config":   &config.Config{APIKey: s, Secret: s},
		"a struct that embeds one":  struct{ config.Secret }{s},
		"an error about it":         fmt.Errorf("key %v: %w", s, errors.New("refused")),
	} {
		t.Run(name, func(t *testing.T) {
			for how, got := range shown(t, v) {
				if leaks(got, text) {
					t.Errorf("%s got %q want it hidden", how, got)
				}
			}
		})
	}
}

// shown returns v as it is printed, logged and encoded.
func shown(t *testing.T, v any) map[string]string {
	t.Helper()
	all := map[string]string{
		"Sprint":   fmt.Sprint(v),
		"Sprintln": fmt.Sprintln("secret", v),
		"Errorf":   fmt.Errorf("bad key: %v", v).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%t", "%30v", "%-.3s", "%T %[1]v", "%!"} {
		all[verb] = fmt.Sprintf(verb, v)
	}
	var log bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, h := range map[string]slog.Handler{"slog as text": slog.NewTextHandler(&log, opts), "slog as JSON": slog.NewJSONHandler(&log, opts)} {
		log.Reset()
		l := slog.New(h).With("with", v)
		l.Debug("message", "attribute", v, slog.Group("group", slog.Any("inside", v)))
		l.Error(fmt.Sprint(v))
		all[name] = log.String()
	}
	// An encoding error must not show it either.
	b, err := json.Marshal(v)
	all["JSON"] = fmt.Sprint(string(b), err)
	b, err = json.Marshal(map[string]any{"in": v})
	all["JSON within"] = fmt.Sprint(string(b), err)
	return all
}

// leaks reports whether text can be read out of got: as it is, quoted, or in hexadecimal.
func leaks(got, text string) bool {
	got = strings.ToLower(got)
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("% x", text), fmt.Sprintf("%d", []byte(text))} {
		if strings.Contains(got, strings.ToLower(strings.Trim(form, "[]"))) {
			return true
		}
	}
	return false
}

func TestSecret_PrintsHidden(t *testing.T) {
	t.Parallel()
	s := config.NewSecret("Correct-Horse")
	for _, got := range []string{
		s.String(), fmt.Sprint(s), fmt.Sprintf("%q", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%x", s), s.LogValue().String(),
	} {
		if got != "[hidden]" {
			t.Errorf("got %q want [hidden]", got)
		}
	}
	if got, err := json.Marshal(s); err != nil || string(got) != `"[hidden]"` {
		t.Errorf(`got %s, %v want "[hidden]"`, got, err)
	}
	// An unset secret looks the same.
	if got := fmt.Sprint(config.Secret{}); got != "[hidden]" || (config.Secret{}).Reveal() != "" {
		t.Errorf("got %q and %q want [hidden] and nothing", got, config.Secret{}.Reveal())
	}
}

func TestLoad_ErrorsHideSecrets(t *testing.T) {
	t.Parallel()
	const key, word = "Correct-Horse-Battery", "Tr0ub4dor"
	for name, in := range map[string]variables{
		"both forms":                   {"PPCH_API_KEY": key, "PPCH_API_KEY_FILE": "/x", "PPCH_COMPONENT_SECRET": word, "PPCH_COMPONENT_SECRET_FILE": "/x"},
		"control characters":           {"PPCH_API_KEY": key + "\x01", "PPCH_COMPONENT_SECRET": word + "\x01"},
		"a file with two lines":        {"PPCH_API_KEY": "-", "PPCH_API_KEY_FILE": fileOf(t, key+"\n"+word), "PPCH_COMPONENT_SECRET": word},
		"a placeholder and a tail":     {"PPCH_API_KEY": "change-me" + key, "PPCH_COMPONENT_SECRET": "your-secret" + word},
		"another variable is wrong":    {"PPCH_API_KEY": key, "PPCH_COMPONENT_SECRET": word, "PPCH_PORT": "x"},
		"a password in an address":     {"PPCH_API_KEY": key, "PPCH_COMPONENT_SECRET": word, "PROSODY_URL": "xmpp://ppch:" + word + "@prosody"},
		"the same, an invalid address": {"PPCH_API_KEY": key, "PPCH_COMPONENT_SECRET": word, "PROSODY_URL": "ppch:" + word + "@prosody:5347"},
	} {
		t.Run(name, func(t *testing.T) {
			// PPCH_PORT makes each of them an error.
			in["PPCH_PORT"] = "x"
			got, err := config.Load(t.Context(), environment(in))
			if err == nil {
				t.Fatal("got no error")
			}
			if leaks(err.Error(), key) || leaks(err.Error(), word) {
				t.Errorf("got %v want no secret in it", err)
			}
			if got.APIKey.Reveal() != "" || got.Secret.Reveal() != "" {
				t.Errorf("got the secrets %q and %q with an error", got.APIKey.Reveal(), got.Secret.Reveal())
			}
		})
	}
}
