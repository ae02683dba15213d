# An app's own YAML, to the cluster with the sidecar and back again. Sourced by ../story.
# shellcheck shell=bash disable=SC2154 # words of ../story

what_is_injected_and_removed_again_is_what_it_was_and_runs_both_ways() {
  space
  with_images <deploy/samples/plain.yaml | sed -e 's/replicas: 3/replicas: 1/' \
    -e 's/targetPort: 8080}/targetPort: http} # by its name/' >"$work/app.yaml"
  kubectl restart inject -f "$work/app.yaml" --image "$SIDECAR_IMAGE" >"$work/with.yaml" 2>"$said" || die "$(cat "$said")"
  quietly here apply -f "$work/with.yaml"
  comes_up 'true' 8012
  kubectl restart inject -f "$work/with.yaml" --remove >"$work/without.yaml" 2>"$said" || die "$(cat "$said")"
  says 'Deployment plain: sidecar removed' 'Service plain: targetPort http'
  cmp "$work/app.yaml" "$work/without.yaml" || die "not what it was: $(diff "$work/app.yaml" "$work/without.yaml")"
  quietly here apply -f "$work/without.yaml"
  comes_up '<no value>' http
  ends_with 1 plan deploy/plain
  says 'RESTART_008'
}
comes_up() { # LABEL TARGET-PORT
  quietly here rollout status deployment/plain --timeout=60s
  until_true 30 "the Service answers" served "$(address plain)"
  # shellcheck disable=SC2016
  here get deployment plain --output 'go-template={{index .spec.template.metadata.labels "restart-controller.dev/sidecar"}}' >"$said"
  [[ $(cat "$said") == "$1" ]] || die "the label is $(cat "$said")"
  [[ $(here get service plain --output 'jsonpath={.spec.ports[0].targetPort}') == "$2" ]] || die "the Service does not lead to $2"
}
