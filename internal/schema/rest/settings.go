package rest

import (
	"encoding/json"
	"net/http"

	"kelp/internal/schema"
)

func getConfig(c *call) (any, error) {
	return c.h.registry.Config(c.ctx(), c.subject(), c.flag("defaultToGlobal"))
}

func putConfig(c *call) (any, error) {
	var u schema.ConfigUpdate
	if err := c.body(&u); err != nil {
		return nil, err
	}
	delete(u, "compatibilityLevel") // only answers call it so
	config, err := c.h.registry.SetConfig(c.ctx(), c.subject(), u)
	if err != nil {
		return nil, err
	}
	b := configUpdateBody{Compatibility: config.CompatibilityLevel, Config: config}
	b.CompatibilityLevel = ""
	return b, nil
}

func deleteConfig(c *call) (any, error) { return c.h.registry.DeleteConfig(c.ctx(), c.subject()) }

func getMode(c *call) (any, error) {
	mode, err := c.h.registry.Mode(c.ctx(), c.subject(), c.flag("defaultToGlobal"))
	return modeBody{mode}, err
}

func putMode(c *call) (any, error) {
	var b map[string]json.RawMessage
	if err := c.body(&b); err != nil {
		return nil, err
	}
	raw, given := b["mode"]
	if !given {
		return nil, &schema.Error{Code: http.StatusUnprocessableEntity, Message: "the member mode is missing"}
	}
	var mode schema.Mode
	if string(raw) != "null" {
		var word text
		if err := json.Unmarshal(raw, &word); err != nil {
			return nil, badJSON(err)
		}
		var err error
		if mode, err = schema.ParseMode(string(word)); err != nil {
			return nil, err
		}
	}
	return modeBody{mode}, c.h.registry.SetMode(c.ctx(), c.subject(), mode, c.flag("force"))
}

func deleteMode(c *call) (any, error) {
	mode, err := c.h.registry.DeleteMode(c.ctx(), c.subject(), c.flag("recursive"))
	return modeBody{mode}, err
}
