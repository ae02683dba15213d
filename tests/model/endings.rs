//! Does every run end? From every state a calm way leads to an end, and no calm way goes round in circles.
//!
//! **Invariant:** knows states by number only.

use std::collections::BTreeSet;

/// The calm part of what was searched.
pub struct Graph<'a> {
    /// Which states are ends.
    pub ended: &'a [bool],
    /// Edges; true: by the controller.
    pub edges: &'a [(u32, u32, bool)],
}

impl Graph<'_> {
    /// A state from which no calm way leads to an end.
    pub fn stuck(&self) -> Option<u32> {
        let position = self.backwards().iter().position(|distance| *distance == u32::MAX)?;
        u32::try_from(position).ok()
    }

    /// Distance of each state from an end, over calm edges.
    fn backwards(&self) -> Vec<u32> {
        let count = self.ended.len();
        let incoming = Adjacency::new(count, self.edges.iter().map(|(from, to, _)| (*to, *from)));
        let mut distance = vec![u32::MAX; count];
        let mut queue: Vec<u32> = (0u32..).zip(self.ended).filter(|(_, ended)| **ended).map(|(id, _)| id).collect();
        for id in &queue {
            distance[*id as usize] = 0;
        }
        let mut at = 0;
        while at < queue.len() {
            let id = queue[at];
            at += 1;
            for from in incoming.of(id) {
                if distance[*from as usize] == u32::MAX {
                    distance[*from as usize] = distance[id as usize] + 1;
                    queue.push(*from);
                }
            }
        }
        distance
    }

    /// Most passes of the controller on a calm way, by taking away states without incoming calm edges (Kahn).
    pub fn longest(&self) -> Result<usize, u32> {
        let count = self.ended.len();
        let outgoing =
            Adjacency::new(count, self.edges.iter().map(|(from, to, ours)| (*from, to << 1 | u32::from(*ours))));
        let mut incoming = vec![0u32; count];
        for (_, to, _) in self.edges {
            incoming[*to as usize] += 1;
        }
        let mut passes = vec![0usize; count];
        let mut queue: Vec<u32> = (0u32..).zip(&incoming).filter(|(_, count)| **count == 0).map(|(id, _)| id).collect();
        let mut at = 0;
        while at < queue.len() {
            let id = queue[at] as usize;
            at += 1;
            for edge in outgoing.of(queue[at - 1]) {
                let (to, ours) = ((edge >> 1) as usize, edge & 1 == 1);
                passes[to] = passes[to].max(passes[id] + usize::from(ours));
                incoming[to] -= 1;
                if incoming[to] == 0 {
                    queue.push(edge >> 1);
                }
            }
        }
        if queue.len() == count {
            return Ok(passes.into_iter().max().unwrap_or_default());
        }
        Err(on_circle(&outgoing, &incoming))
    }
}

/// A state on a circle: go forward among the states that are left until one comes again.
fn on_circle(outgoing: &Adjacency, incoming: &[u32]) -> u32 {
    // Backwards would be needed for a true circle; forwards may run out of it, so states without a way on are dropped first.
    let left = |id: &u32| incoming[*id as usize] > 0;
    let mut alive: BTreeSet<u32> = (0u32..).take(incoming.len()).filter(left).collect();
    loop {
        let dead: Vec<u32> = alive
            .iter()
            .copied()
            .filter(|id| !outgoing.of(*id).iter().any(|edge| alive.contains(&(edge >> 1))))
            .collect();
        if dead.is_empty() {
            break;
        }
        for id in &dead {
            alive.remove(id);
        }
    }
    alive.into_iter().next().unwrap_or_default()
}

struct Adjacency {
    start: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    fn new(count: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut start = vec![0u32; count + 1];
        for (from, _) in edges.clone() {
            start[from as usize + 1] += 1;
        }
        for at in 0..count {
            start[at + 1] += start[at];
        }
        let mut next = start.clone();
        let mut targets = vec![0; start[count] as usize];
        for (from, to) in edges {
            targets[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Self { start, targets }
    }

    fn of(&self, id: u32) -> &[u32] {
        &self.targets[self.start[id as usize] as usize..self.start[id as usize + 1] as usize]
    }
}
