package std

// Delta is empty: this platform is the base.
const Delta = ""
