/** @file Worker of the queue `distill`. What its stages do is in packages/core; how they are run, in packages/service. */
import { runWorker } from '@modelpress/service';

void runWorker('distill');
