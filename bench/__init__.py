"""What the platform costs, as ratios within one run on one machine, against bars. Run by ./script/bench."""
