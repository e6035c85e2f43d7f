module tidegate/bench

go 1.25
