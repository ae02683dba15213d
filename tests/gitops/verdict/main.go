// Verdict says what GitOps tools make of objects: kstatus (Flux, Helm, kpt) and a health script of Argo CD.
//
//	verdict objects [health.lua] < objects.yaml   one line per object: kind, name, phase, kstatus, health, message of each
//	verdict cases health.lua health_test.yaml     the cases in Argo CD's own layout of them, a line for each
//
// Invariant: it judges nothing itself; what is said is what the libraries say.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "objects":
		err = objects(os.Stdin, "")
	case len(os.Args) == 3 && os.Args[1] == "objects":
		err = objects(os.Stdin, os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "cases":
		err = cases(os.Args[2], os.Args[3])
	default:
		err = errors.New("usage: verdict objects [health.lua] < objects.yaml | verdict cases health.lua health_test.yaml")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

// objects prints a line of tab-separated words for each object of a stream of YAML or JSON.
func objects(from io.Reader, script string) error {
	decoder := yaml.NewYAMLOrJSONDecoder(from, 4096)
	for {
		raw, object := runtime.RawExtension{}, &unstructured.Unstructured{}
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
			continue
		}
		if err := object.UnmarshalJSON(raw.Raw); err != nil {
			return err
		}
		if err := line(object, script); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func line(object *unstructured.Unstructured, script string) error {
	phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
	result, err := status.Compute(object)
	if err != nil {
		return err
	}
	health := Health{}
	if script != "" && object.GetKind() == "RestartRequest" {
		if health, err = ask(script, object); err != nil {
			return err
		}
	}
	words := []string{object.GetKind(), object.GetName(), phase, result.Status.String(), health.Status, result.Message, health.Message}
	for at, word := range words {
		if word == "" {
			words[at] = "-"
		}
	}
	fmt.Println(strings.Join(words, "\t"))
	return nil
}

// read takes one object from a file beside another one.
func read(beside, path string) (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(beside), path))
	if err != nil {
		return nil, err
	}
	if text, err = yaml.ToJSON(text); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(text)
}
