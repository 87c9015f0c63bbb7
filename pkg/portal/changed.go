package portal

import (
	"bytes"
	"encoding/json"
)

// changedSettings lists the settings whose values differ, by their names in JSON. A change inside an object, such as
// lockout, gives the object's name.
func changedSettings(before, after *Settings) ([]string, error) {
	old, err := members(before)
	if err != nil {
		return nil, err
	}
	current, err := members(after)
	if err != nil {
		return nil, err
	}
	var changed []string
	for name, value := range current {
		if !bytes.Equal(old[name], value) {
			changed = append(changed, name)
		}
	}
	return changed, nil
}

// members are the settings as JSON, by name. Equal values have equal text, because Settings holds no maps.
func members(s *Settings) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	err = json.Unmarshal(text, &all)
	return all, err
}
