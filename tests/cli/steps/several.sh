# Two Deployments with a label in common: several at a time, a time-out, force, and a restore that fails. Sourced by ../story.
# shellcheck shell=bash disable=SC2154 # words of ../story

two_workloads_run_with_the_sidecar_under_load() {
  local name
  space
  for name in one two; do
    with_images <deploy/samples/plain.yaml | sed -e 's/replicas: 3/replicas: 1/' -e 's/^  labels: {app: plain}/  labels: {app: web}/' \
      -e "s/plain/$name/g" | kubectl restart inject -f - --image "$SIDECAR_IMAGE" 2>"$said" | here apply -f - >>"$said" || die "$(cat "$said")"
  done
  under_load one
  under_load two
}

all_with_a_label_are_restarted_in_order() {
  ends_with 0 deploy -l app=web "${quick[@]}" --timeout 30s
  says 'deployment/one restarted: 1/1 pods in' 'deployment/two restarted: 1/1 pods in'
  here get restartrequests --sort-by=.metadata.creationTimestamp --output \
    'jsonpath={range .items[*]}{.spec.targetRef.name} {.spec.timeoutSeconds} {.status.resolved.timeoutSeconds} {.status.startedAt} {.status.finishedAt}{"\n"}{end}' >"$said"
  awk '$2 != 30 || $3 != 30 || $4 < ended { exit 1 } { ended = $5; names = names $1 " " } END { if (names != "one two ") exit 1 }' "$said" \
    || die "not in order, or not for 30 s: $(cat "$said")"
}

the_first_failure_stops_the_rest() {
  quietly here create configmap broken --from-literal=config.yaml='greeting: [broken'
  ends_with 3 deploy -l app=web "${quick[@]}" --promote one-config=broken
  says 'deployment/one Failed RESTART_004' 'stopped at deployment/one: 1 more not asked for (deployment/two)'
  ends_with 1 deploy/one deploy/none deploy/two "${quick[@]}" --trigger three
  says 'deployment/one restarted' 'RESTART_007: deployment/none does not exist' 'stopped at deployment/none: 1 more not asked for (deployment/two)'
  [[ $(requests_of two) == 1 ]] || die "two was asked for: $(requests_of two)"
}
requests_of() { here get restartrequests --output "jsonpath={range .items[?(@.spec.targetRef.name=='$1')]}{.metadata.name} {end}" | wc -w; }

a_request_that_outlasts_the_timeout_fails_it_with_code_three_and_force_does_not_wait() {
  slow slow 25000
  ends_with 3 deploy/one "${quick[@]}" --name late --timeout 2s --wait
  says 'RESTART_005 DrainTimeout' 'Configuration and pods are as before.' "kubectl restart status late -n $NS"
  [[ $(here get restartrequest late --output 'jsonpath={.spec.timeoutSeconds} {.status.resolved.timeoutSeconds}') == '2 2' ]] || die "not for 2 s"
  ends_with 0 deploy/one "${quick[@]}" --name forced --force --wait
  [[ $(here get restartrequest forced --output 'jsonpath={.spec.force}') == true ]] || die "not forced"
  here get restartrequest forced --output 'jsonpath={range .status.history[?(@.reason=="Draining")]}{.startedAt} {.finishedAt}{end}' >"$said"
  (($(date -d "$(cut -d' ' -f2 "$said")" +%s) - $(date -d "$(cut -d' ' -f1 "$said")" +%s) < 5)) || die "waited for requests: $(cat "$said")"
  answered slow
}
ask_load() { here exec load -- /sample ask "$1" "http://127.0.0.1:8080/$2" "${@:3}"; } # METHOD PATH [BODY]
# NAME MILLISECONDS: a request to one that takes so long, under way when this returns.
slow() {
  quietly ask_load POST start "{\"name\": \"$1\", \"target\": \"$(address one)\", \"ratePerSecond\": 20, \"count\": 1, \"workMillis\": $2, \"slowBodies\": 0}"
  until_true 10 "a slow request" sent "$1"
}
sent() { ask_load GET "report?name=$1" >"$said" && grep -q '"sent":1' "$said"; } # NAME
answered() {                                                                    # NAME
  ask_load GET "report?name=$1&wait=true" >"$said"
  grep -q '"ok":1,"failed":0' "$said" || die "a request was lost: $(cat "$said")"
}

a_restore_that_fails_has_code_four_and_says_what_is_left() {
  local code=0 restart
  # Neither the promoted content nor the edit lets the new pod start: it may read either.
  quietly here create configmap crash --from-literal=config.yaml='exitAtStart: true'
  kubectl restart deploy/one "${quick[@]}" --name unrestored --promote one-config=crash --wait -n "$NS" >"$work/unrestored" 2>&1 &
  restart=$!
  until_true 20 "the replacement" phase_is unrestored Restarting
  quietly here patch configmap one-config --type=merge --patch '{"data": {"config.yaml": "exitAtStart: true # mine"}}'
  wait "$restart" || code=$?
  cp "$work/unrestored" "$said"
  [[ $code == 4 ]] || die "code $code: $(cat "$said")"
  says 'deployment/one Failed RESTART_006' 'Not everything is as before: ConfigMap one-config was changed by somebody else' \
    "kubectl restart diff deployment/one -n $NS"
  ends_with 4 watch unrestored
  ends_with 0 status unrestored
  says 'Not restored:'
}
phase_is() { # NAME PHASE
  here get restartrequest "$1" --output 'jsonpath={.status.phase}' >"$said" 2>&1 && [[ $(cat "$said") == "$2" ]]
}
