# Puts together what labs/bench runtime has measured: the times that hull-bench took, the memory and
# system calls ($costs), and the least limits on memory ($limits). A row is called RUNTIME:WAY.

def title: {run: "run", bare: "run, without a cgroup", exec: "exec"};

(.rows | map({key: .name, value: .milliseconds.median?}) | from_entries) as $medians
| .rows |= map(
    (.name / ":") as [$runtime, $way]
    | $medians["hull-runtime:" + $way] as $ours
    | . + ($costs[0][.name] // {})
    | .timesOurs = (if $ours and .milliseconds then .milliseconds.median / $ours else null end)
    | .limit = (if $way == "run" then $limits[0][$runtime] else null end)
    | .name = "\($runtime) \(title[$way])")
