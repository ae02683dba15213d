package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Health is what a script of Argo CD returns.
type Health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// The layout of resource_customizations/GROUP/KIND/health_test.yaml in Argo CD.
type suite struct {
	Tests []struct {
		HealthStatus Health `json:"healthStatus"`
		InputPath    string `json:"inputPath"`
	} `json:"tests"`
}

var healths = map[string]bool{"Healthy": true, "Progressing": true, "Degraded": true, "Suspended": true, "Missing": true, "Unknown": true}

// cases runs the cases of a health_test.yaml; input paths are beside it.
func cases(script, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var all suite
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(all.Tests) == 0 {
		return fmt.Errorf("%s has no tests", path)
	}
	failed := 0
	for _, test := range all.Tests {
		verdict := "ok"
		object, err := read(path, test.InputPath)
		if err != nil {
			return err
		}
		got, err := ask(script, object)
		if err != nil || got != test.HealthStatus {
			verdict = fmt.Sprintf("FAILED: %+v %v, not %+v", got, err, test.HealthStatus)
			failed++
		}
		fmt.Printf("test %s is %s in Argo CD ... %s\n", test.InputPath, test.HealthStatus.Status, verdict)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(all.Tests))
	}
	return nil
}

// ask runs the script as Argo CD does: `obj` is the object, base and table libraries alone, one second.
func ask(script string, object *unstructured.Unstructured) (Health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable}
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(libraries[name]), Protect: true}, lua.LString(name)); err != nil {
			return Health{}, err
		}
	}
	patience, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(patience)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoFile(script); err != nil {
		return Health{}, err
	}
	answer, is := state.Get(-1).(*lua.LTable)
	if !is {
		return Health{}, errors.New("the script returns no table")
	}
	health := Health{Status: lua.LVAsString(answer.RawGetString("status")), Message: lua.LVAsString(answer.RawGetString("message"))}
	if !healths[health.Status] {
		return health, fmt.Errorf("%q is no health that Argo CD knows", health.Status)
	}
	return health, nil
}

// value is an object of JSON in Lua.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case string:
		return lua.LString(from)
	case int64:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	case []any:
		list := state.CreateTable(len(from), 0)
		for _, item := range from {
			list.Append(value(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(from))
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
