-- Health of a RestartRequest for Argo CD: by its conditions, and only if they are about the present spec.
local health = {status = "Progressing", message = "waiting for the controller"}
local status = obj.status
if status ~= nil and status.conditions ~= nil and status.observedGeneration == obj.metadata.generation then
  for _, condition in ipairs(status.conditions) do
    if condition.type == "Stalled" and condition.status == "True" then
      return {status = "Degraded", message = condition.message}
    end
    if condition.type == "Ready" and condition.status == "True" then
      return {status = "Healthy", message = condition.message}
    end
    if condition.type == "Reconciling" and condition.status == "True" then
      health.message = condition.message
    end
  end
end
return health
