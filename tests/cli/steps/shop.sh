# One Deployment: every verb, and the progress in a terminal. Sourced by ../story.
# shellcheck shell=bash disable=SC2154 # words of ../story

the_sidecar_is_injected() {
  space
  with_images <deploy/samples/plain.yaml | sed -e 's/replicas: 3/replicas: 1/' >"$work/app.yaml"
  ends_with 0 inject -f "$work/app.yaml" --in-place --image "$SIDECAR_IMAGE"
  says 'Deployment plain: sidecar added' 'Service plain: targetPort 8012'
  grep -q '^# The control: the same app' "$work/app.yaml" || die "a comment is gone"
  cp "$work/app.yaml" "$work/once.yaml"
  ends_with 0 inject -f "$work/app.yaml" --in-place --image "$SIDECAR_IMAGE"
  cmp "$work/app.yaml" "$work/once.yaml" || die "twice is not once"
  quietly here apply -f "$work/app.yaml"
  under_load plain
}

doctor_and_plan_say_that_it_can_be_restarted_and_write_nothing() {
  ends_with 0 doctor deploy/plain
  says 'ok  the controller runs' 'ok  each sidecar answers' 'deployment/plain can be restarted.'
  ends_with 0 plan deploy/plain
  says 'would begin' 'Surge, 1 at a time' 'ConfigMap: plain-config' 'Nothing was written.'
  ends_with 0 plan deploy/plain -o json
  python3 -c 'import json,sys; plan=json.load(open(sys.argv[1])); assert plan["accepted"] and len(plan["checks"]) >= 10, plan' "$said"
  ends_with 0 deploy/plain "${quick[@]}" --dry-run=server
  says '(server dry run)'
  [[ -z $(here get restartrequests --output name) ]] || die "something was written"
  ends_with 1 doctor deploy/none
  says 'RESTART_007'
  ends_with 1 release --all
  says 'a controller leads'
  ends_with 0 release deploy/plain --despite-a-leading-controller
  says 'Nothing is outstanding.'
}

it_restarts_and_shows_plain_lines_where_there_is_no_terminal() {
  ends_with 0 deploy/plain "${quick[@]}" --name first --wait
  says 'restartrequest.restart-controller.dev/first created' 'deployment/plain WaitingRequests 0/1 pods' 'deployment/plain restarted: 1/1 pods in'
  ends_with 0 status
  says 'first' 'Completed' '1/1'
  ends_with 0 status first
  says 'Phase:        Completed' 'Draining: taking'
  ends_with 0 status first -o wide
  says 'MESSAGE'
  ends_with 0 status first -o name
  [[ $(cat "$said") == restartrequest.restart-controller.dev/first ]] || die "$(cat "$said")"
  ends_with 0 status first -o yaml
  says 'kind: RestartRequest'
  ends_with 0 history deploy/plain --limit 1
  says 'Completed' 'first'
}

a_trigger_restarts_once() {
  ends_with 0 deploy/plain "${quick[@]}" --trigger one --wait=false
  ends_with 0 deploy/plain "${quick[@]}" --trigger one --wait
  says 'unchanged' 'restarted: 1/1 pods'
}

a_promotion_that_fails_is_put_back_with_code_three() {
  quietly here create configmap broken --from-literal=config.yaml='greeting: [broken'
  ends_with 3 deploy/plain "${quick[@]}" --promote plain-config=broken --wait
  says 'RESTART_004 ValidationFailed' 'as before'
}

it_is_watched_in_a_terminal_left_with_control_c_and_undone() {
  quietly here create configmap next --from-literal=config.yaml='greeting: next'
  ends_with 0 diff deploy/plain --promote plain-config=next
  says '+greeting: next' 'last known good and now are the same'
  tmux -L story -f /dev/null new-session -d -x 130 -y 20 "env PS1='ready ' bash --norc"
  tmux -L story send-keys "kubectl restart deploy/plain -n shop --name live --reason live --soak 5s --promote plain-config=next" Enter
  until_true 20 "the bar" on_screen 'deployment/plain [A-Za-z]* .* [01]/1 pods .* of about'
  until_true 30 "the soak" on_screen '1/1 pods'
  [[ $(tmux -L story capture-pane -p -e) == *$'\e[36m'* ]] || die "no colours: $(tmux -L story capture-pane -p -e)"
  tmux -L story send-keys C-c
  until_true 10 "the way back" on_screen 'Come back: *kubectl restart watch live -n shop'
  tmux -L story send-keys "clear; NO_COLOR=1 kubectl restart watch live -n shop; echo code \$?" Enter
  until_true 30 "the end" on_screen 'code 0'
  on_screen 'deployment/plain restarted: 1/1 pods in' || die "$(cat "$said")"
  [[ $(tmux -L story capture-pane -p -e) != *$'\e[3'* ]] || die "colours in spite of NO_COLOR"
  ends_with 0 undo deploy/plain --list
  says 'live' 'yes'
  ends_with 0 undo deploy/plain --wait
  says 'restarted: 1/1 pods'
  here get configmap plain-config --output 'jsonpath={.data.config\.yaml}' | grep -q 'greeting: hello' || die "not undone"
}

on_screen() { # PATTERN
  tmux -L story capture-pane -p >"$said"
  grep -q -- "$1" "$said"
}

a_wait_that_runs_out_has_code_two_and_cancel_works_until_a_pod_is_touched() {
  ends_with 2 deploy/plain --reason long --soak 6s --name long --wait --wait-timeout 4s
  says 'is not over after 4s' "kubectl restart watch long -n $NS"
  ends_with 1 deploy/plain "${quick[@]}"
  says "RESTART_001: deployment/plain is already being restarted by $NS/long" "kubectl restart watch long -n $NS" '--queue'
  ends_with 1 cancel long
  says 'RESTART_002' 'goes on to a safe end'
  ends_with 0 deploy/plain "${quick[@]}" --name queued --queue --wait=false
  ends_with 0 cancel queued
  says 'queued cancelled'
  ends_with 0 watch long
}

nobody_gets_rights_that_he_does_not_have() {
  ends_with 1 deploy/plain "${quick[@]}" --as bob
  says 'error: RESTART_011' 'bob'
  ends_with 1 --context nowhere deploy/plain "${quick[@]}"
  says 'nowhere'
  ends_with 1 deploy/plain
  says '--reason'
}

kubectl_completes_it_and_manuals_are_written() {
  kubectl __complete restart sta >"$said" 2>"$work/errors"
  says 'status' 'Show where restarts stand'
  kubectl __complete restart status -n "$NS" deployment/p >"$said" 2>"$work/errors"
  says 'deployment/plain'
  ends_with 0 man --dir "$work/man"
  grep -q 'Restart a workload' "$work"/man/kubectl-restart.1 || die "$(ls "$work/man")"
}
