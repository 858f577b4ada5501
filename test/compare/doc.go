// Package compare plays the same loads with this program's policy and with the autoscalers that its users have today: the
// HorizontalPodAutoscaler on the same signals and on GPU utilization, KEDA and Knative. `make compare` runs it and writes the
// table of README.md, which also says where each rival's numbers come from.
//
//	a := arms()                                                    // ours first, then the rivals, each with the settings that are tried
//	c := play(t, cells(loads, startups, hazards), a, seeds, tell)  // all of them in every cell, with every seed
//	v := judge(c, chosen)                                          // where a rival is better
//
// A cell is a load, a startup time and a hazard. What happens in it is package policy/simulate's closed loop: requests
// arrive, a model of vLLM serves them, and each autoscaler sees and decides at its own pace, ours every 5 s, the
// HorizontalPodAutoscaler every 15 s, Knative every 2 s. The world itself moves in ticks of one second.
package compare
