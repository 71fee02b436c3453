function mpc = two_buses
%TWO_BUSES  A line without resistance: v solves v^4 + (2 q x - v0^2) v^2 + x^2 (p^2 + q^2) = 0
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
  1 3 0 0 0 0 1 1 0 20 1 1.1 0.9;
  2 1 5 0 0 0 1 1 0 20 1 1.1 0.9;
];
mpc.gen = [
  1 0 0 Inf -Inf 1 10 1 Inf -Inf;
];
mpc.branch = [
  1 2 0 0.4 0 0 0 0 0 0 1 -360 360;
];
